"""From runs to tables: one record per finished run, and tables that are views of records. Needs no torch."""
