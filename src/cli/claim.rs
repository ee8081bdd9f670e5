//! `--claim`: what the parts were sold as.

use std::fs;
use std::path::Path;

use anyhow::Context;
use yanji::claim::{ClaimError, MAX_CLAIM_BYTES, Order};
use yanji::rule::Signatures;

use super::error::CliError;

/// The option of every command that judges parts.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClaimArgs {
    /// What was sold: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", "32x 64GB DDR5-5600 RDIMM new", "2x Xeon Platinum 8480+",
    /// "4x 3.84TB NVMe Samsung PM9A3"; or a TOML file with [[gpu]], [[dimm]], [[cpu]], [[drive]]. Several items are
    /// separated by ; or given one by one
    #[arg(long = "claim", value_name = "TEXT|FILE")]
    pub claims: Vec<String>,
}

impl ClaimArgs {
    /// The order, understood by the products that the signatures know. Empty where nothing was claimed.
    pub fn load(&self, signatures: &Signatures) -> anyhow::Result<Order> {
        let mut order = Order::default();
        for text in &self.claims {
            let more = read(text, signatures)?;
            order = order.append(more).map_err(explain)?;
        }
        if !order.is_empty() {
            tracing::info!("the claim is understood as: {}", order.understood());
        }
        Ok(order)
    }
}

fn read(text: &str, signatures: &Signatures) -> anyhow::Result<Order> {
    let tables = &signatures.tables;
    if !text.ends_with(".toml") {
        return Order::parse(text, tables).map_err(explain);
    }
    let path = Path::new(text);
    let unreadable = || CliError::usage(format!("cannot read the claim in {}", path.display()));
    if fs::metadata(path).with_context(unreadable)?.len() > MAX_CLAIM_BYTES as u64 {
        return Err(explain(ClaimError::TooLong));
    }
    Order::from_toml(&fs::read_to_string(path).with_context(unreadable)?, tables).map_err(explain)
}

fn explain(error: ClaimError) -> anyhow::Error {
    let hint = match &error {
        ClaimError::Ambiguous { .. } => "name one of these products; memory and form are given beside it",
        ClaimError::SeveralGpus => "inspect with the item of the GPUs that this machine was sold with",
        ClaimError::Syntax(_) => {
            "a claim file has product = \"RTX 4090\" and, if you like, memory_gb, cooler (fan, blower, passive, liquid), \
             form_factor (pcie, sxm), condition (new, used, refurbished), modified, count; or tables [[gpu]] with these, \
             [[dimm]] with count, size_gb, type, speed_mts, module_type, maker, part_number, condition, kit, [[cpu]] with \
             model, count, condition, [[drive]] with count, size_gb, interface, medium, maker, model, condition"
        }
        _ => {
            "write it as an offer would: \"RTX 4090 24GB, fan\", \"A100 80GB PCIe\", \"H100 SXM 80GB x8, used\", \
             \"RTX 4090 48GB turbo, modified\", \"32x 64GB DDR5-5600 RDIMM new\", \"2x EPYC 9654\", \"8x 16TB SATA HDD used\""
        }
    };
    anyhow::Error::new(error).context(CliError::usage("the claim could not be understood").hint(hint))
}
