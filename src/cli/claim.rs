//! `--claim`: what the GPUs were sold as.

use std::fs;
use std::path::Path;

use anyhow::Context;
use yanji::claim::{Claim, ClaimError, MAX_CLAIM_BYTES};
use yanji::rule::Signatures;

use super::error::CliError;

/// The option of every command that judges GPUs.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClaimArgs {
    /// What the GPUs were sold as: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", or a TOML file with product, memory_gb,
    /// cooler, form_factor, condition, modified, count
    #[arg(long, value_name = "TEXT|FILE")]
    pub claim: Option<String>,
}

impl ClaimArgs {
    /// The claim, understood by the products that the signatures know.
    pub fn load(&self, signatures: &Signatures) -> anyhow::Result<Option<Claim>> {
        let Some(text) = &self.claim else { return Ok(None) };
        let tables = &signatures.tables;
        let claim = if text.ends_with(".toml") {
            let path = Path::new(text);
            let unreadable = || CliError::usage(format!("cannot read the claim in {}", path.display()));
            if fs::metadata(path).with_context(unreadable)?.len() > MAX_CLAIM_BYTES as u64 {
                Err(ClaimError::TooLong)
            } else {
                Claim::from_toml(&fs::read_to_string(path).with_context(unreadable)?, tables)
            }
        } else {
            Claim::parse(text, tables)
        };
        let claim = claim.map_err(|error| {
            let hint = match &error {
                ClaimError::Ambiguous { .. } => "name one of these products; memory and form are given beside it",
                ClaimError::Syntax(_) => "a claim file has product = \"RTX 4090\" and, if you like, memory_gb, cooler (fan, \
                    blower, passive, liquid), form_factor (pcie, sxm), condition (new, used, refurbished), modified, count",
                _ => "write it as an offer would: \"RTX 4090 24GB, fan\", \"A100 80GB PCIe\", \"H100 SXM 80GB x8, used\", \
                    \"RTX 4090 48GB turbo, modified\"",
            };
            anyhow::Error::new(error).context(CliError::usage("the claim could not be understood").hint(hint))
        })?;
        tracing::info!("the claim is understood as: {}", claim.understood());
        Ok(Some(claim))
    }
}
