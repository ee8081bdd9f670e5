//! Instructions against plain Rust.
