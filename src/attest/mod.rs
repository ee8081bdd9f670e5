//! What is signed, by whom, and how somebody else checks it.
