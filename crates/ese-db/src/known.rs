//! Databases and tables that are known by their names: which program of Windows a database belongs to, and what a table
//! whose name is a GUID is called.
//!
//! The names are those that the programs' own files have (`testdata/real`), and for SRUM's tables the providers' names that
//! forensic tools agree on; Windows Update's tables are those that published listings of `DataStore.edb` show. A database that fits none is unknown: nothing is guessed from the name of a file.

use crate::{Catalog, Table};

/// A program's databases, by tables that only those have.
const KINDS: [(&str, &[&str]); 15] = [
    ("SRUM", &["SruDbIdMapTable"]),
    ("NTDS", &["datatable", "link_table"]),
    ("WebCache", &["Containers", "Partitions"]),
    ("Windows Search", &["SystemIndex_PropertyStore"]),
    ("Windows Search", &["SystemIndex_0A"]),
    ("UAL", &["CLIENTS", "ROLE_ACCESS"]),
    ("UAL", &["ROLE_IDS", "SYSTEM_IDENTITY"]),
    ("CertSvc", &["Certificates", "CRLs", "Requests"]),
    ("BITS", &["Jobs", "Files"]),
    ("Security templates", &["SmTblSection", "SmTblSmp"]),
    ("Catalog database", &["HashCatNameTable"]),
    ("File History", &["backupset", "namespace", "library"]),
    ("Windows Update", &["tbFiles", "tbHistory", "tbUpdates"]),
    // Up to Exchange 2010, and from 2013 on.
    ("Exchange", &["Folders", "Mailbox", "Msg"]),
    ("Exchange", &["Globals", "Mailbox", "MailboxIdentity"]),
];

/// The map of SRUM's ids, which no other database has.
pub const SRUM_MAP: &str = "SruDbIdMapTable";

/// SRUM's tables: the GUID of the provider, and what it is called.
const SRUM: [(&str, &str); 14] = [
    (
        "{973F5D5C-1D90-4944-BE8E-24B94231A174}",
        "Network Data Usage",
    ),
    (
        "{D10CA2FE-6FCF-4F6D-848E-B2E99266FA89}",
        "Application Resource Usage",
    ),
    (
        "{DD6636C4-8929-4683-974E-22C046A43763}",
        "Network Connectivity Usage",
    ),
    (
        "{D10CA2FE-6FCF-4F6D-848E-B2E99266FA86}",
        "Push Notifications",
    ),
    ("{FEE4E14F-02A9-4550-B5CE-5FA2DA202E37}", "Energy Usage"),
    (
        "{FEE4E14F-02A9-4550-B5CE-5FA2DA202E37}LT",
        "Energy Usage Long Term",
    ),
    ("{5C8CF1C7-7257-4F13-B223-970EF5939312}", "App Timeline"),
    ("{7ACBBAA3-D029-4BE4-9A7A-0885927F1D8F}", "VFU Provider"),
    (
        "{DA73FB89-2BEA-4DDC-86B8-6E048C6DA477}",
        "Energy Estimation",
    ),
    ("{B6D82AF1-F780-4E17-8077-6CB9AD8A6FC4}", "Tagged Energy"),
    (
        "{17F4D97B-F26A-5E79-3A82-90040A47D13D}",
        "SDP Volume Provider",
    ),
    (
        "{841A7317-3805-518B-C2EA-AD224CB4AF84}",
        "SDP Physical Disk Provider",
    ),
    ("{DC3D3B50-BB90-5066-FA4E-A5F90DD8B677}", "SDP CPU Provider"),
    (
        "{EEE2F477-0659-5C47-EF03-6D6BEFD441B3}",
        "SDP Network Provider",
    ),
];

/// What a table is called whose name is this GUID.
fn known_guid(name: &str) -> Option<&'static str> {
    let mut known = SRUM.iter();
    let known = known.find(|(guid, _)| guid.eq_ignore_ascii_case(name));
    known.map(|(_, known)| *known)
}

fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace(['{', '}'], "").replace('_', " ");
    plain(one).eq_ignore_ascii_case(&plain(other))
}

/// Whether somebody who says `said` can mean the table called `name`: see [`Catalog::table_meant`].
pub fn may_mean(said: &str, name: &str) -> bool {
    is_same(said, name) || known_guid(name).is_some_and(|known| is_same(said, known))
}

impl Catalog {
    /// The program that the database belongs to, judged by its tables.
    pub fn kind(&self) -> Option<&'static str> {
        let has_all = |tables: &[&str]| tables.iter().all(|name| self.table(name).is_some());
        let known = KINDS.iter().find(|(_, tables)| has_all(tables));
        known.map(|(kind, _)| *kind)
    }

    /// What `table` is called by people, where its own name is a GUID.
    pub fn known_as(&self, table: &Table) -> Option<&'static str> {
        self.table(SRUM_MAP)?;
        known_guid(&table.name)
    }

    /// The table that somebody means by `name`: its own name in any case, without the braces of a GUID, or what it is known
    /// as, with blanks or `_`.
    pub fn table_meant(&self, name: &str) -> Option<&Table> {
        let same = |text: &str| is_same(text, name);
        self.table(name).or_else(|| {
            let mut meant = self
                .tables
                .iter()
                .filter(|table| same(&table.name) || self.known_as(table).is_some_and(&same));
            // Where several fit, none is meant.
            let first = meant.next();
            first.filter(|_| meant.next().is_none())
        })
    }
}
