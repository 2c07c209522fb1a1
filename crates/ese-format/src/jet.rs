//! The engine's error numbers, as administrators know them from event logs and `eseutil`.
//!
//! Numbers and names are those of `published/inc/jethdr.w`; only the ones edbkit reports are listed.

use serde::Serialize;
use std::fmt;

/// A JET error: its number and the name Microsoft gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct JetError {
    /// The (negative) number.
    pub code: i32,
    /// The symbol without its `JET_err` prefix.
    pub name: &'static str,
}

macro_rules! jet_errors {
    ($($(#[$doc:meta])* $constant:ident = $code:literal $name:literal;)*) => {
        impl JetError {
            $($(#[$doc])* pub const $constant: JetError = JetError { code: $code, name: $name };)*
        }
    };
}

jet_errors! {
    /// A page is needed as it was before, and neither disk nor log has it.
    DATABASE_BUFFER_DEPENDENCIES_CORRUPTED = -255 "DatabaseBufferDependenciesCorrupted";
    /// A page link does not lead where the neighbour says.
    BAD_PAGE_LINK = -327 "BadPageLink";
    /// A parent page points at a page that is not its child.
    BAD_PARENT_PAGE_LINK = -338 "BadParentPageLink";
    /// The tree of available extents is damaged.
    SP_AVAIL_EXT_CORRUPTED = -341 "SPAvailExtCorrupted";
    /// The tree of owned extents is damaged.
    SP_OWN_EXT_CORRUPTED = -343 "SPOwnExtCorrupted";
    /// A page is newer than everything that the database knows of.
    DB_TIME_CORRUPTED = -344 "DbTimeCorrupted";
    /// A tag of a page points outside it, or there are more tags than fit.
    PAGE_TAG_CORRUPTED = -357 "PageTagCorrupted";
    /// A node is shorter than its key claims.
    NODE_CORRUPTED = -358 "NodeCorrupted";
    /// A log file is damaged where recovery needs it.
    LOG_FILE_CORRUPT = -501 "LogFileCorrupt";
    /// The log file that the checkpoint points at is missing.
    MISSING_PREVIOUS_LOG_FILE = -509 "MissingPreviousLogFile";
    /// The name of a log file disagrees with the generation in its header.
    LOG_GENERATION_MISMATCH = -513 "LogGenerationMismatch";
    /// The log format version is not supported.
    BAD_LOG_VERSION = -514 "BadLogVersion";
    /// A log's previous-creation-time is not its predecessor's creation time.
    INVALID_LOG_SEQUENCE = -515 "InvalidLogSequence";
    /// A log file is missing from the sequence.
    MISSING_LOG_FILE = -528 "MissingLogFile";
    /// A log file belongs to another stream.
    BAD_LOG_SIGNATURE = -530 "BadLogSignature";
    /// A database is not the one the log was written for.
    BAD_DB_SIGNATURE = -531 "BadDbSignature";
    /// A checkpoint belongs to another stream.
    BAD_CHECKPOINT_SIGNATURE = -532 "BadCheckpointSignature";
    /// Neither copy of the checkpoint can be read.
    CHECKPOINT_CORRUPT = -533 "CheckpointCorrupt";
    /// A database and a set of logs do not belong together.
    DATABASE_LOG_SET_MISMATCH = -539 "DatabaseLogSetMismatch";
    /// A log file's size is not the size in its header.
    LOG_FILE_SIZE_MISMATCH = -541 "LogFileSizeMismatch";
    /// Logs that the database needs are missing.
    REQUIRED_LOG_FILES_MISSING = -543 "RequiredLogFilesMissing";
    /// A log's sector size differs from the stream's.
    LOG_SECTOR_SIZE_MISMATCH = -546 "LogSectorSizeMismatch";
    /// The database was not shut down cleanly.
    DATABASE_DIRTY_SHUTDOWN = -550 "DatabaseDirtyShutdown";
    /// The database's last consistent time is not the log's.
    CONSISTENT_TIME_MISMATCH = -551 "ConsistentTimeMismatch";
    /// A page is older than the record that changes it expects.
    DB_TIME_TOO_OLD = -566 "DbTimeTooOld";
    /// A page is newer than the record expects, but older than its result.
    DB_TIME_TOO_NEW = -567 "DbTimeTooNew";
    /// Redo succeeded; undo was skipped as asked.
    RECOVERED_WITHOUT_UNDO = -579 "RecoveredWithoutUndo";
    /// Committed logs are missing; giving them up loses durability, not consistency.
    COMMITTED_LOG_FILES_MISSING = -582 "CommittedLogFilesMissing";
    /// Redo succeeded; undo was to be skipped but was not needed.
    RECOVERED_WITHOUT_UNDO_DATABASES_CONSISTENT = -584 "RecoveredWithoutUndoDatabasesConsistent";
    /// Committed logs are damaged; giving them up loses durability, not consistency.
    COMMITTED_LOG_FILE_CORRUPT = -586 "CommittedLogFileCorrupt";
    /// The previous log's accumulated segment checksum is not the one the next log names.
    LOG_SEQUENCE_CHECKSUM_MISMATCH = -590 "LogSequenceChecksumMismatch";
    /// A page is initialised on one side and not on the other.
    PAGE_INITIALIZED_MISMATCH = -596 "PageInitializedMismatch";
    /// A page has a change that the database should not have yet.
    DB_TIME_BEYOND_MAX_REQUIRED = -625 "DbTimeBeyondMaxRequired";
    /// A log record contradicts the database.
    LOG_OPERATION_INCONSISTENT_WITH_DATABASE = -626 "LogOperationInconsistentWithDatabase";
    /// A page's checksum does not match its bytes.
    READ_VERIFY_FAILURE = -1018 "ReadVerifyFailure";
    /// A page that should be in use is blank.
    PAGE_NOT_INITIALIZED = -1019 "PageNotInitialized";
    /// The operating system could not read or write.
    DISK_IO = -1022 "DiskIO";
    /// A part of the path is not a folder, or its end is one.
    INVALID_PATH = -1023 "InvalidPath";
    /// The file is locked or in use.
    FILE_ACCESS_DENIED = -1032 "FileAccessDenied";
    /// A page carries another page's number.
    READ_PGNO_VERIFY_FAILURE = -1118 "ReadPgnoVerifyFailure";
    /// A page's last write was lost.
    READ_LOST_FLUSH_VERIFY_FAILURE = -1119 "ReadLostFlushVerifyFailure";
    /// A page is not in the state that recovery expects.
    RECOVERY_VERIFY_FAILURE = -1123 "RecoveryVerifyFailure";
    /// Not a database, or one that is corrupted.
    DATABASE_CORRUPTED = -1206 "DatabaseCorrupted";
    /// The format version is not supported.
    INVALID_DATABASE_VERSION = -1209 "InvalidDatabaseVersion";
    /// The catalog holds something that cannot be.
    CATALOG_CORRUPTED = -1220 "CatalogCorrupted";
    /// There is no such table or object.
    OBJECT_NOT_FOUND = -1305 "ObjectNotFound";
    /// A column that is not there.
    COLUMN_NOT_FOUND = -1507 "ColumnNotFound";
    /// A long value is damaged.
    LV_CORRUPTED = -1526 "LVCorrupted";
    /// Compressed data does not unpack.
    DECOMPRESSION_FAILED = -1620 "DecompressionFailed";
    /// A database was created by an engine whose creation is not logged in full.
    INVALID_CREATE_DB_VERSION = -1225 "InvalidCreateDbVersion";
    /// A database that the logs attach is missing or is another one.
    ATTACHED_DATABASE_MISMATCH = -1216 "AttachedDatabaseMismatch";
    /// The page size differs from what is expected.
    PAGE_SIZE_MISMATCH = -1213 "PageSizeMismatch";
    /// A page lies beyond the end of the file.
    FILE_IO_BEYOND_EOF = -4001 "FileIOBeyondEOF";
    /// The disk is full.
    DISK_FULL = -1808 "DiskFull";
    /// The file is not there.
    FILE_NOT_FOUND = -1811 "FileNotFound";
    /// The file is not a database or log file of the right type.
    FILE_INVALID_TYPE = -1812 "FileInvalidType";
}

/// As people quote it: `-501 (JET_errLogFileCorrupt)`.
impl fmt::Display for JetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (JET_err{})", self.code, self.name)
    }
}

/// The end of a message: ` [JET -501 (JET_errLogFileCorrupt)]`, and nothing where the engine has no number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JetSuffix(pub Option<JetError>);

impl fmt::Display for JetSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(jet) => write!(f, " [JET {jet}]"),
            None => Ok(()),
        }
    }
}
