//! The header of a flush map as text. `eseutil /mh` has no dump of it; the labels are in its manner.

use ese_format::flush_map::FlushMapHeader;
use std::fmt::{self, Display, Formatter};

/// The header of a flush map.
pub fn flush_map(header: &FlushMapHeader) -> impl Display {
    fmt::from_fn(move |f| write_header(f, header))
}

fn write_header(f: &mut Formatter<'_>, header: &FlushMapHeader) -> fmt::Result {
    writeln!(f, "        File Type: Flush Map")?;
    writeln!(f, "         Checksum: {:#x}", header.checksum)?;
    writeln!(
        f,
        "   Format Version: {},{},{}",
        header.version_major, header.version_update_major, header.version_update_minor
    )?;
    let state = if header.is_clean() { "Clean" } else { "Dirty" };
    writeln!(f, "            State: {state}")?;
    writeln!(f, "    Creation Time: {}", header.created)?;
    writeln!(f, "      Last Attach: {}", header.attached)?;
    writeln!(f, "      Last Detach: {}", header.detached)?;
    writeln!(
        f,
        "     Log Required: {0} ({0:#x}) [Target: {1} ({1:#x})]",
        header.min_required, header.min_required_target
    )?;
    writeln!(f, "Last Flush Started: {}", header.flush_started)?;
    writeln!(f, "Last Flush Completed: {}", header.flush_completed)?;
    writeln!(
        f,
        "  Database Header Flush Signature: {}",
        header.database_header_flush
    )?;
    writeln!(
        f,
        " Flush Map Header Flush Signature: {}",
        header.header_flush
    )
}
