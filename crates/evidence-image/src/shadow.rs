//! Shadow copies of an NTFS volume (Volume Shadow Copy Service).
