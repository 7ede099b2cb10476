//! Which version of our own formats a log directory is in.

use super::FormatError;

/// The version that this release writes, and the highest that it reads. It is raised together with
/// any change on disk that the release before would misread; a directory of a lower one opens for
/// ever (`tests/data/` has one of each).
pub const FORMAT_VERSION: u32 = 1;

/// Our key in `meta.properties`; Kafka's tools pass over it. Directories that were formatted before
/// there was the key are in version 1.
pub(super) const FORMAT_KEY: &str = "ringlog.format";

/// The version that a `meta.properties` names, whatever else is in it. `None`: it was formatted by
/// Kafka, or by us before there was the key.
pub fn format_version(meta_properties: &str) -> Result<Option<u32>, FormatError> {
    let mut values = meta_properties.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == FORMAT_KEY).then_some(value.trim())
    });
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match value.parse() {
        Ok(version @ 1..) => Ok(Some(version)),
        _ => Err(FormatError::Content(format!(
            "{FORMAT_KEY}={value} is no version"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_wherever_it_stands() {
        for (text, version) in [
            ("", None),
            ("#ringlog.format=2\nversion=1\n", None),
            ("version=1\nringlog.format=1\n", Some(1)),
            ("ringlog.format = 70\nversion=9\n", Some(70)),
        ] {
            assert_eq!(format_version(text), Ok(version), "{text:?}");
        }
        for bad in ["ringlog.format=0", "ringlog.format=", "ringlog.format=x"] {
            assert!(format_version(bad).is_err(), "{bad:?}");
        }
    }
}
