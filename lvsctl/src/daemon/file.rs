//! Files read whole, up to a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The text of a file of at most `most` bytes.
///
/// # Errors
/// If it cannot be read, is longer, or is not UTF-8.
pub fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = Vec::new();
    append(&File::open(path)?, most, &mut text)?;
    String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Appends the rest of an open file of at most `most` bytes.
///
/// # Errors
/// If it cannot be read, or is longer; what was read until then has been appended.
pub fn append(file: &File, most: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = file.take(most + 1).read_to_end(bytes)?;
    if length as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {most} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_not_a_byte_further() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "twelve bytes").expect("written");
        assert_eq!(read(file.path(), 12).expect("it fits"), "twelve bytes");
        assert_eq!(read(file.path(), 11).expect_err("too long").to_string(), "longer than 11 bytes");
        assert!(read(Path::new("/dev/zero"), 5).is_err());
        std::fs::write(file.path(), b"\xff").expect("written");
        assert_eq!(read(file.path(), 12).expect_err("no text").kind(), io::ErrorKind::InvalidData);
    }
}
