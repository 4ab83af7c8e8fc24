//! One-for-one supervision over actix.
