"""Training for clusterability: the spectrum's derivative, a warm-started penalty, a clusterable initialisation."""
