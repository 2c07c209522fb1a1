//! Passwords that a command line names in addresses: they go no further than here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use url::Url;

static PASSWORDS: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// Takes the password out of the address that an argument is or ends with, and keeps it for whoever connects to that
/// place as that user. Returns the argument without it; `None` if there is none in it.
pub fn without_password(argument: &str) -> Option<String> {
    let (before, rest) = argument.split_once("://")?;
    let in_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    let scheme = before.trim_end_matches(in_scheme).len();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (login, host) = rest[..end].rsplit_once('@')?;
    let (user, _) = login.split_once(':')?;
    let url = Url::parse(&argument[scheme..]).ok()?;
    let password = url.password()?.to_owned();
    let mut passwords = PASSWORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let passwords = passwords.get_or_insert_default();
    passwords.insert(place_and_user(&url), password);
    Some(format!("{before}://{user}@{host}{}", &rest[end..]))
}

/// The address with the password that is kept for it, if it has none of its own.
pub(crate) fn with_password(mut url: Url) -> Url {
    let passwords = PASSWORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = passwords
        .as_ref()
        .and_then(|all| all.get(&place_and_user(&url)));
    if let (None, Some(password)) = (url.password(), known) {
        // Fails only for addresses that have no place for a password.
        let _ = url.set_password(Some(password));
    }
    url
}

/// What the places of one machine and user, or of one bucket, have in common.
pub(crate) fn place_and_user(url: &Url) -> String {
    let mut place = url.clone();
    place.set_path("");
    // Fails only for addresses that have no place for a password.
    let _ = place.set_password(None);
    place.set_query(None);
    place.set_fragment(None);
    place.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_for_its_place_and_nowhere_else() {
        let kept = without_password("--logs=webdav://anna:s%20ecret@host:81/a%20b/?x=y").unwrap();
        assert_eq!(kept, "--logs=webdav://anna@host:81/a%20b/?x=y");
        let password = |address: &str| {
            let url = with_password(Url::parse(address).unwrap());
            url.password().map(str::to_owned)
        };
        assert_eq!(
            password("webdav://anna@host:81/other").as_deref(),
            Some("s%20ecret")
        );
        assert_eq!(
            password("webdav://anna:own@host:81/").as_deref(),
            Some("own")
        );
        for other in [
            "webdav://host:81/",
            "webdav://anna@host/",
            "webdavs://anna@host:81/",
        ] {
            assert_eq!(password(other), None, "{other}");
        }
        for plain in [
            "/a/b",
            "sftp://anna@host/x",
            "a:b@c",
            "--x=1",
            "http://host/a:b@c",
        ] {
            assert_eq!(without_password(plain), None, "{plain}");
        }
    }
}
