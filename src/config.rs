//! The configuration: file and environment, validated into domain types.
