//! The password of a testbed that asks for one: drawn once, kept in `DIR/password`, readable by its owner alone.
use super::Directory;
use anyhow::{Context, Result, bail};
use rand::RngExt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

const LENGTH: usize = 24;
/// Nothing that a shell or a URL would take for its own, and no pair that looks alike.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; LENGTH]);

impl Password {
    pub fn draw() -> Password {
        let mut random = rand::rng();
        Password(std::array::from_fn(|_| LETTERS[random.random_range(0..LETTERS.len())]))
    }

    /// The testbed's own, drawn if there is none yet.
    pub fn ensure(directory: &Directory) -> Result<Password> {
        let path = directory.root().join("password");
        if path.exists() {
            return Password::read(directory);
        }
        let password = Password::draw();
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        writeln!(file, "{}", password.text()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(password)
    }

    pub fn read(directory: &Directory) -> Result<Password> {
        let path = directory.root().join("password");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match text.trim_end().as_bytes().try_into() {
            Ok(bytes) if text.is_ascii() => Ok(Password(bytes)),
            _ => bail!("{} does not hold a password of {LENGTH} letters", path.display()),
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is read and drawn")
    }

    /// As PostgreSQL keeps it in `pg_authid.rolpassword`.
    pub fn verifier(&self) -> String {
        postgres_protocol::password::scram_sha_256(&self.0)
    }
}

/// Not for logs.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn drawn_once_and_kept_from_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Directory::create(folder.path()).expect("made");
        let password = Password::ensure(&directory).expect("drawn");
        assert_eq!(Password::ensure(&directory).expect("kept"), password);
        let mode = std::fs::metadata(folder.path().join("password")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(password.verifier().starts_with("SCRAM-SHA-256$4096:"));
    }
}
