//! User Access Logging of Windows Server (UAL, also SUM): `Current.mdb`, `SystemIdentity.mdb` and one database for each year.

use super::{ColumnView, Explained, Meaning, forms};
use ese_db::{Catalog, ColumnType, Database, Table, Value};
use std::collections::HashMap;

pub(super) fn views(db: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    let roles = catalog.table("ROLE_IDS");
    catalog.table("CLIENTS").or(roles)?;
    let mut names: HashMap<_, _> = ROLES.map(|(guid, name)| (bytes(guid), name.into())).into();
    names.extend(roles.map(|table| role_map(db, table)).unwrap_or_default());
    Some(vec![
        Explained::new(
            |_, column| forms::is_binary(column) && column.name == "Address",
            vec![ColumnView::text("ip", forms::address)],
        ),
        Explained::new(
            |_, column| column.column_type == ColumnType::Guid && column.name == "RoleGuid",
            vec![ColumnView::new("name", Meaning::Guids(names))],
        ),
    ])
}

/// Roles of Windows Server. `SystemIdentity.mdb` names them; the databases that say who used them do not. The same GUIDs have
/// the same names in that of every server known here, 2012 R2 and 2019; what a database itself says comes first.
const ROLES: [(u128, &str); 14] = [
    (
        0xc50fcc83_bc8d_4df5_8a3d_89d7f80f074b,
        "Active Directory Certificate Services",
    ),
    (
        0xad495fc3_0eaa_413d_ba7d_8b13fa7ec598,
        "Active Directory Domain Services",
    ),
    (
        0xb4cdd739_089c_417e_878d_855f90081be7,
        "Active Directory Rights Management Service",
    ),
    (0x910cbaf9_b612_4782_a21f_f7c75105434a, "BranchCache"),
    (0x48eed6b2_9cdc_4358_b5a5_8dea3b2f3f6a, "DHCP Server"),
    (0x7cc4b071_292c_4732_97a1_cf9a7301195d, "FAX Server"),
    (0x10a9226f_50ee_49d8_a393_9a501d47ce04, "File Server"),
    (0xc23f1c6a_30a8_41b6_bbf7_f266563dfcd6, "FTP Server"),
    (
        0xbbd85b29_9dcc_4fd9_865d_3846dcba75c7,
        "Network Policy and Access Services",
    ),
    (
        0x7fb09bd3_7fe6_435e_8348_7d8aefb6cea3,
        "Print and Document Services",
    ),
    (0x952285d9_edb7_4b6b_9d85_0c09e3da0bbd, "Remote Access"),
    (0xd6256cf7_98fb_4eb4_aa18_303f1da1f770, "Web Server"),
    (
        0x4116a14d_3840_4f42_a67f_f2f9ff46eb4c,
        "Windows Deployment Services",
    ),
    (
        0xd8dc1c8e_ea13_49ce_9a68_c9dca8db8b33,
        "Windows Server Update Services",
    ),
];

/// A GUID as it is stored: its first three numbers have their low byte first.
fn bytes(guid: u128) -> [u8; 16] {
    let mut bytes = guid.to_be_bytes();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// The names that the database gives to roles.
fn role_map(db: &Database, table: &Table) -> HashMap<[u8; 16], String> {
    let columns = ["RoleGuid", "RoleName"];
    let entries = forms::entries(db, table, columns, |fields, [guid, name]| {
        let Value::Guid(guid) = fields.value(guid) else {
            return None;
        };
        Some((guid, forms::name(fields, name)?))
    });
    entries.into_iter().collect()
}
