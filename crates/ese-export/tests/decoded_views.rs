//! Decoded views of real databases say what an independent reading of the same bytes says: other columns of the same rows, other
//! tables, messages in text, or `struct.unpack` at the offsets that the views name.

use ese_db::Database;
use ese_export::{ExportOptions, FileEntry, Format, SourceEntry, export};
use ese_testkit::fixtures;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::fs;

/// The rows of each table, with views.
struct Decoded(HashMap<String, Vec<Json>>);

impl Decoded {
    fn of(place: &str) -> Self {
        let database = fixtures::real().join(place);
        let db = Database::open(&database).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = ExportOptions {
            source: String::new(),
            tables: Vec::new(),
            format: Format::Jsonl,
            to: folder.path().to_owned(),
            force: false,
            inline_limit: usize::MAX,
            deleted: false,
            decoded: true,
            source_column: None,
        };
        let source = SourceEntry {
            file: FileEntry::new(database.clone(), fs::metadata(&database).unwrap().len()),
            page_size: db.page_size().bytes(),
            last_page: db.last_page(),
            dirty: false,
            header: None,
        };
        let manifest = export(&db, || Ok(source.into()), &options, &()).unwrap();
        let tables = manifest.tables.iter().map(|table| {
            let lines = fs::read_to_string(folder.path().join(&table.file)).unwrap();
            let rows = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            (table.name.clone(), rows.collect())
        });
        Decoded(tables.collect())
    }

    fn rows(&self, table: &str) -> &[Json] {
        &self.0[table]
    }

    /// Columns of the first row.
    fn first<const N: usize>(&self, table: &str, columns: [&str; N]) -> [Json; N] {
        columns.map(|column| self.rows(table)[0][column].clone())
    }

    /// A column by another one that holds numbers.
    fn by(&self, table: &str, id: &str, column: &str) -> HashMap<i64, Json> {
        let rows = self.rows(table).iter();
        rows.map(|row| (row[id].as_i64().unwrap(), row[column].clone()))
            .collect()
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

#[test]
fn a_job_of_bits_tells_what_it_loads_for_whom() {
    for (place, name, owner, times, folder, url, temporary, bytes) in [
        (
            "artemis/win10/qmgr.db",
            "Chrome Component Updater",
            "S-1-5-21-1079689790-2336414676-942872339-1001",
            [
                "2022-12-21T02:18:03.120465Z",
                "2022-12-21T02:18:43.408792Z",
                "2023-03-21T02:18:43.408792Z",
            ],
            r"C:\Users\bob\AppData\Local\Temp\chrome_BITS_9548_1667050988\",
            "http://edgedl.me.gvt1.com/edgedl/release2/chrome_component/i73exzs4s3qvwnxxzwp6zdbtbe_372/",
            "BITAC67.tmp",
            4782,
        ),
        (
            "go-ese/testdata/Samples/qmgr.db",
            "Edge Component Updater",
            "S-1-5-21-549467458-3727351111-1684278619-1001",
            [
                "2024-07-29T04:34:53.137451Z",
                "2024-07-30T07:19:08.757607Z",
                "2024-10-28T07:19:08.757607Z",
            ],
            r"C:\Users\bob\AppData\Local\Temp\edge_BITS_2972_515758394\",
            "http://msedge.b.tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/",
            "BIT2B52.tmp",
            975_576,
        ),
    ] {
        let tables = Decoded::of(place);
        let said = tables.first("Jobs", ["Blob_name", "Blob_owner"]);
        assert_eq!(said, [name, owner]);
        let said = tables.first("Jobs", ["Blob_type", "Blob_priority", "Blob_state"]);
        assert_eq!(said, ["download", "normal", "transferred"]);
        let said = tables.first("Jobs", ["Blob_created", "Blob_modified", "Blob_expires"]);
        assert_eq!(said, times);
        // Nothing is run when they are done, and the raw column is there.
        let said = tables.first("Jobs", ["Blob_program", "Blob_parameters"]);
        assert_eq!(said, [Json::Null, Json::Null]);
        let [job, file] = ["Jobs", "Files"].map(|table| &tables.rows(table)[0]);
        assert!(text(&job["Blob"]).starts_with("a15609e143afc942"));
        // The files of a job are rows of the other table.
        assert_eq!(job["Blob_files"], file["Id"]);
        let last = text(&job["Blob_description"]);
        assert_eq!(file["Blob_path"], format!("{folder}{last}"));
        assert_eq!(file["Blob_temporary"], format!("{folder}{temporary}"));
        assert!(text(&file["Blob_url"]).starts_with(&format!("{url}{last}")));
        assert_eq!(file["Blob_bytes"], bytes);
    }
}

#[test]
fn a_certification_authority_tells_what_became_of_requests() {
    let tables = Decoded::of("pypi_dissect.database-1.0/tests/_data/ese/tools/CertLog.edb");
    // Its own messages say the same.
    let mut messages = 0;
    for request in tables.rows("Requests") {
        let name = text(&request["Disposition_name"]);
        let Some(message) = request["$DispositionMessage"].as_str() else {
            assert_eq!(name, "certificate of the CA");
            continue;
        };
        messages += 1;
        match name {
            "issued" => assert!(message.starts_with("Issued"), "{message}"),
            "denied" => assert!(message.starts_with("Denied"), "{message}"),
            other => panic!("{other}: {message}"),
        }
        match request["StatusCode_hex"].as_str() {
            Some(code) => assert!(message.contains(code), "{message}"),
            None => assert_eq!(request["StatusCode"], 0),
        }
    }
    assert_eq!(messages, 10);
    // A subject key identifier is also in a column of the certificate itself.
    let identifiers = tables.by("Certificates", "RequestID", "$SubjectKeyIdentifier");
    let mut found = 0;
    for extension in tables.rows("CertificateExtensions") {
        if text(&extension["$ExtensionName_name"]) == "Subject Key Identifier" {
            let request = extension["RequestID"].as_i64().unwrap();
            let identifier = text(&identifiers[&request]).replace(' ', "");
            assert_eq!(extension["ExtensionRawValue"], format!("0414{identifier}"));
            found += 1;
        }
    }
    assert_eq!(found, 11);
}

#[test]
fn file_history_names_files_and_moments() {
    let tables = Decoded::of("plaso/test_data/Catalog1.edb");
    let strings = tables.by("string", "id", "string");
    let backups = tables.by("backupset", "id", "timestamp_time");
    let (mut names, mut times, mut still_there) = (0, 0, 0);
    for table in ["file", "library", "namespace"] {
        for row in tables.rows(table) {
            for column in ["parentId", "childId"] {
                let string = text(&strings[&row[column].as_i64().unwrap()]);
                assert_eq!(row[format!("{column}_name")], string.trim_end_matches('\0'));
                names += 1;
            }
            for column in ["tCaptured", "tCreated", "tQueued", "tUpdated", "tVisible"] {
                let time = &row[format!("{column}_time")];
                match row[column].as_i64() {
                    None => {}
                    Some(0x7fff_ffff) => {
                        assert_eq!(*time, Json::Null);
                        still_there += 1;
                    }
                    Some(backup) => {
                        assert_eq!(*time, backups[&backup]);
                        times += 1;
                    }
                }
            }
        }
    }
    assert_eq!((names, times, still_there), (4598, 4518, 992));
    // 130251268980890000 and 130207434684953976, as FILETIMEs.
    assert_eq!(backups[&1], "2013-10-01T18:48:18.089Z");
    let said = tables.first("namespace", ["fileCreated_time", "childId_name"]);
    assert_eq!(said, ["2013-08-12T01:11:08.495397Z", "WP_20130728_004.jpg"]);
}

#[test]
fn security_templates_are_read_as_text() {
    let tables = Decoded::of("secedit/pragyajhaa_CIS_Benchmarks_Enforcement/secedit.sdb");
    let columns = ["SectionID_name", "Name_text", "Value_text"];
    let said = tables.first("SmTblSmp", columns);
    assert_eq!(said, ["system access", "maximumpasswordage", "100"]);
    // d76b4dd592ccda01, the low byte first.
    let said = tables.first("SmTblVersion", ["ConfigTimeStamp_time"]);
    assert_eq!(said, ["2024-07-02T15:16:37.676335Z"]);
}

#[test]
fn srum_tells_what_its_own_map_and_interfaces_are_called() {
    let tables = Decoded::of("museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat");
    // 0101000000000005 13000000.
    let map = tables.by("SruDbIdMapTable", "IdIndex", "IdIndex_name");
    assert_eq!(map[&4], "S-1-5-19");
    // Type 6 in the upper 16 bits, 0x8001 in the 24 below.
    let usage = "{973F5D5C-1D90-4944-BE8E-24B94231A174}";
    let said = tables.first(usage, ["InterfaceLuid", "InterfaceLuid_name"]);
    assert_eq!(
        said,
        [json!(0x0006_0080_0100_0000_i64), json!("ethernet_32769")]
    );
}

#[test]
fn roles_have_names_where_only_another_database_names_them() {
    let tables = Decoded::of("go-ese/testdata/Sample_UAL/HyperV-PC/Current.mdb");
    let system = Decoded::of("go-ese/testdata/Sample_UAL/HyperV-PC/SystemIdentity.mdb");
    let roles = system.rows("ROLE_IDS").iter();
    let roles: HashMap<&str, &str> = roles
        .map(|row| (text(&row["RoleGuid"]), text(&row["RoleName"])))
        .collect();
    let clients = tables.rows("CLIENTS");
    for client in clients {
        let name = roles[text(&client["RoleGuid"])].trim_end_matches('\0');
        assert_eq!(client["RoleGuid_name"], name);
    }
    assert!(clients.len() > 20);
}

mod not_shipped {
    use super::*;

    #[test]
    #[ignore = "needs a Windows.edb that is too large to be shipped"]
    fn windows_search_gives_documents_their_paths_sizes_and_texts() {
        let tables = Decoded::of("pypi_dissect.database-1.0/tests/_data/ese/Windows.edb");
        let urls = tables.by("SystemIndex_PropertyStore", "WorkID", "33-System_ItemUrl");
        let mut same = 0;
        for row in tables.rows("SystemIndex_Gthr") {
            let Some(url) = urls.get(&row["DocumentID"].as_i64().unwrap()) else {
                continue;
            };
            let name = row["FileName"].as_str().unwrap_or_default();
            let path = format!("{}{name}", text(&row["ScopeID_path"]));
            // Addresses of documents do not have the volume.
            let path = match (path.find("/["), path.find("]/")) {
                (Some(begin), Some(end)) => format!("{}{}", &path[..begin], &path[end + 1..]),
                _ => path,
            };
            assert_eq!(path.to_lowercase(), text(url).to_lowercase());
            same += 1;
        }
        assert_eq!(same, 1182);
        let documents = tables.rows("SystemIndex_PropertyStore");
        let ends = |row: &&Json, end: &str| {
            let path = row["4447-System_ItemPathDisplay"].as_str();
            path.is_some_and(|path| path.ends_with(end))
        };
        let link = documents.iter().find(|row| ends(row, r"\Task Manager.lnk"));
        let link = link.unwrap();
        assert_eq!(link["13F-System_Size_bytes"], 1120);
        assert_eq!(link["4456-System_Kind_text"], "link; program");
        // In the time of a place that the database does not name.
        let local = "4137-System_ActivityHistory_LocalStartTime";
        let mut activities = documents.iter().filter(|row| row[local].is_string());
        let activity = activities.next().unwrap();
        assert!(activity["4139-System_ActivityHistory_StartTime_time"].is_string());
        assert_eq!(activity[format!("{local}_time")], Json::Null);
    }
}
