"""The commands stn-train, stn-table and stn-data: compose, build, call, exit."""
