//! Certificate Services: the database of a certification authority, `NAME.edb` in `CertLog`.
//!
//! Its times are DateTime columns that hold FILETIMEs, which every export reads already; its names of subjects, templates and
//! requesters are text. Archived keys, signatures and certificates stay the bytes that they are.

use super::{ColumnView, Explained, forms};
use ese_db::{Catalog, ColumnType, Database, Text, Value};

pub(super) fn views(_: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    if !forms::has_all(catalog, &["Certificates", "CRLs", "Requests"]) {
        return None;
    }
    Some(vec![
        Explained::new(
            |table, column| {
                let is_disposition = column.name == "Disposition" && table.name == "Requests";
                is_disposition && column.column_type == ColumnType::Long
            },
            vec![ColumnView::text("name", disposition)],
        ),
        Explained::new(
            |table, column| {
                let is_status = column.name == "StatusCode" && table.name == "Requests";
                is_status && column.column_type == ColumnType::Long
            },
            vec![ColumnView::text("hex", code)],
        ),
        Explained::new(
            |_, column| {
                let is_oid = matches!(
                    column.name.as_str(),
                    "$ExtensionName" | "$PublicKeyAlgorithm"
                );
                is_oid && column.column_type == ColumnType::Text
            },
            vec![ColumnView::text("name", oid)],
        ),
    ])
}

/// What became of a request, as Microsoft's documentation of the column lists it.
fn disposition(value: &Value<'_>) -> Option<String> {
    let name = match forms::number(value)? {
        8 => "active",
        9 => "pending",
        12 => "foreign certificate",
        15 => "certificate of the CA",
        16 => "certificate of the CA's chain",
        17 => "certificate of a key recovery agent",
        20 => "issued",
        21 => "revoked",
        30 => "failed",
        31 => "denied",
        _ => return None,
    };
    Some(name.to_owned())
}

/// An error code as messages show it. Zero is none.
fn code(value: &Value<'_>) -> Option<String> {
    let code = i32::try_from(forms::number(value)?).ok()?;
    (code != 0).then(|| format!("0x{code:08x}"))
}

/// What an OID is called: extensions of RFC 5280 and of Microsoft's, and the algorithm of keys, that real files have.
fn oid(value: &Value<'_>) -> Option<String> {
    let Value::Text(Text::Decoded(oid)) = value else {
        return None;
    };
    let name = match oid.trim_end_matches('\0') {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.9.15" => "SMIME Capabilities",
        "1.3.6.1.4.1.311.20.2" => "Certificate Template Name",
        "1.3.6.1.4.1.311.21.1" => "CA Version",
        "1.3.6.1.4.1.311.21.7" => "Certificate Template Information",
        "1.3.6.1.4.1.311.21.10" => "Application Policies",
        "1.3.6.1.5.5.7.1.1" => "Authority Information Access",
        "2.5.29.14" => "Subject Key Identifier",
        "2.5.29.15" => "Key Usage",
        "2.5.29.17" => "Subject Alternative Name",
        "2.5.29.19" => "Basic Constraints",
        "2.5.29.31" => "CRL Distribution Points",
        "2.5.29.35" => "Authority Key Identifier",
        "2.5.29.37" => "Enhanced Key Usage",
        _ => return None,
    };
    Some(name.to_owned())
}
