//! Outcomes made by hand, to look at.
