//! Subcommands of the program.
