"""The world around the engine: file formats, examples, the command line, tables and progress. No mathematics here."""
