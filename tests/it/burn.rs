//! Tests of `burn`.
