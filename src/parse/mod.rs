//! Pure parsers: bytes or text in, structures out. No I/O, no panics, no unbounded sizes.
