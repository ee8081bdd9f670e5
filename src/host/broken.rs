//! A machine that gives nothing away.

use super::{Host, Query};
use crate::evidence::{Origin, Reading};

/// Every read denied, every call failing. Whatever runs on it must end undecided.
#[derive(Debug, Clone, Copy)]
pub struct BrokenHost {
    origin: Origin,
}

impl BrokenHost {
    /// A broken machine that claims that origin.
    pub fn new(origin: Origin) -> Self {
        Self { origin }
    }
}

impl Host for BrokenHost {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn read(&self, _path: &str) -> Reading<Vec<u8>> {
        Reading::Denied
    }

    fn list(&self, _path: &str) -> Reading<Vec<String>> {
        Reading::Denied
    }

    fn link(&self, _path: &str) -> Reading<String> {
        Reading::Denied
    }

    fn ask(&self, query: &Query) -> Reading<Vec<u8>> {
        Reading::Failed(format!("{} failed", query.path()))
    }
}
