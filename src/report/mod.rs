//! Renders any stage: for a person, and as JSON. Device strings are escaped here and nowhere else.
