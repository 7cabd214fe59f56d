"""Results as records: what they say about how they were made, how they are saved and read back."""

from netspectra.records.archive import read_archive, write_archive
from netspectra.records.record import SCHEMA_VERSION, Record, Run, plain

__all__ = ["SCHEMA_VERSION", "Record", "Run", "plain", "read_archive", "write_archive"]
