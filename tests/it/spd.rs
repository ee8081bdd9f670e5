//! Tests of `decode spd`, of the modules that are here and of images that somebody sent.

use std::fs;

use serde_json::{Value as Json, json};

use crate::cli::Place;
use crate::support::spd::SpdImage;
use yanji::parse::spd;

fn decode(bytes: &[u8]) -> Json {
    let place = Place::new();
    let file = place.path("image.bin");
    fs::write(&file, bytes).unwrap();
    place.run(["decode", "spd", file.to_str().unwrap(), "--format", "json"]).exits(0).json()
}

#[test]
fn all_fields_of_each_generation() {
    let ddr3 = decode(&SpdImage::ddr3_rdimm().build());
    println!("{ddr3:#}");
    let ddr4 = decode(&SpdImage::ddr4_rdimm().build());
    println!("{ddr4:#}");
    let ddr5 = decode(&SpdImage::ddr5_rdimm().build());
    println!("{ddr5:#}");
    let _ = (json!(1), spd::MIN_BYTES);
}
