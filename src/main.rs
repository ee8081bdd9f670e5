//! The `yanji` command.

fn main() {}
