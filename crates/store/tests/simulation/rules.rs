//! The four rules by which a restart shows nothing older.
