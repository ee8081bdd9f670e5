//! One file per subcommand.

pub mod key;
