//! A damaged page as this program reports it.

use ese_format::JetSuffix;
use ese_scan::PageFinding;
use std::fmt::{self, Display, Formatter};

/// A damaged page with the engine's number, where it has one.
pub(crate) struct WithJet<'f>(pub(crate) &'f PageFinding);

impl Display for WithJet<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, JetSuffix(self.0.jet()))
    }
}
