//! Columns as the catalog describes them.

use super::ColumnType;
use crate::record::{LAST_FIXED, LAST_VARIABLE};
use serde::Serialize;

bitflags::bitflags! {
    /// What is special about a column (`ffield*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ColumnFlags: u32 {
        /// May not be null.
        const NOT_NULL = 0x0001;
        /// Counts the changes of its record.
        const VERSION = 0x0002;
        /// Is given the next number when a record is inserted.
        const AUTOINCREMENT = 0x0004;
        /// May have several values.
        const MULTI_VALUED = 0x0008;
        /// Has a default value.
        const DEFAULT = 0x0010;
        /// Is changed by adding, by several sessions at once.
        const ESCROW = 0x0020;
        /// Calls back when it becomes zero.
        const FINALIZE = 0x0040;
        /// Its default value comes from a callback.
        const USER_DEFINED_DEFAULT = 0x0080;
        /// Column of a template table in the present format.
        const TEMPLATE = 0x0100;
        /// Its record is deleted when it becomes zero.
        const DELETE_ON_ZERO = 0x0200;
        /// Holds the place of a column that is no longer part of the primary index.
        const PRIMARY_PLACEHOLDER = 0x0800;
        /// Values are compressed where that helps.
        const COMPRESSED = 0x1000;
        /// Values are encrypted.
        const ENCRYPTED = 0x2000;
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its id: up to 127 fixed, up to 255 variable, above tagged.
    pub id: u16,
    /// Whether it comes from the template table.
    pub of_template: bool,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Most bytes a value may have, 0 when the type says.
    pub max_size: u32,
    /// What is special about it.
    pub flags: ColumnFlags,
    /// Code page of text.
    pub code_page: u32,
    /// Where in the record a fixed column stands.
    #[serde(skip)]
    pub record_offset: u16,
    /// The default value as stored, also of columns added after records existed.
    pub default_value: Option<Vec<u8>>,
    /// The callback of a user-defined default value.
    pub callback: Option<String>,
}

impl Column {
    /// Whether it was deleted: the catalog keeps its place.
    pub fn is_deleted(&self) -> bool {
        self.column_type == ColumnType::Deleted
    }

    /// Whether it is at a fixed place in every record.
    pub fn is_fixed(&self) -> bool {
        self.id <= LAST_FIXED
    }

    /// Whether it is found by its tag.
    pub fn is_tagged(&self) -> bool {
        self.id > LAST_VARIABLE
    }

    /// Bytes of the value of a fixed column.
    pub fn fixed_size(&self) -> usize {
        self.column_type
            .fixed_size()
            .unwrap_or(self.max_size as usize)
    }
}
