//! Disk images of all kinds as files of the disk's bytes.
