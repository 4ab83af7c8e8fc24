//! What actors need of the world, as traits.
