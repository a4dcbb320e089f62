//! What outlives the process: the account with the authority, and the certificate.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};

use crate::net::acme::{Config, Error};

/// Owner's eyes only: accounts and keys.
const PRIVATE: u32 = 0o600;

/// An account and where it is one.
#[derive(Serialize, Deserialize)]
struct Account {
    directory: String,
    credentials: AccountCredentials,
}

/// The account with the directory of `config`, if there is one.
pub(super) fn account(config: &Config) -> Result<Option<AccountCredentials>, Error> {
    let path = config.folder.join("account.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Store { path, source }),
    };
    let account = serde_json::from_slice::<Account>(&text);
    let account = account.map_err(|error| Error::Store {
        path,
        source: error.into(),
    })?;
    let same = account.directory == config.directory;
    Ok(same.then_some(account.credentials))
}

/// Keeps the account with the directory of `config`.
pub(super) fn keep_account(config: &Config, credentials: AccountCredentials) -> Result<(), Error> {
    let account = Account {
        directory: config.directory.clone(),
        credentials,
    };
    let text = serde_json::to_vec(&account).expect("an account is JSON");
    replace(&config.folder.join("account.json"), &text)
}

/// Keeps a key and its chain, both PEM.
pub(super) fn keep_certificate(config: &Config, key: &str, chain: &str) -> Result<(), Error> {
    replace(&config.file(), format!("{key}{chain}").as_bytes())
}

/// Replaces the file whole, also when the process dies in the middle.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE);
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| Error::Store {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::net::tls::{Authority, Identity};

    #[test]
    fn key_and_chain_are_one_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            folder: folder.path().join("acme"),
            domains: vec!["localhost".into()],
            ..Config::default()
        };
        let before = config.identity().unwrap();
        let issued = Authority::create("root").issue(&["localhost"]).unwrap();
        let text = |tag: &str, bytes: &[u8]| pem::encode(&pem::Pem::new(tag, bytes));
        let key = text("PRIVATE KEY", issued.key.secret_der());
        let chain = text("CERTIFICATE", &issued.chain[0]);
        keep_certificate(&config, &key, &chain).unwrap();
        let shown: Identity = config.identity().unwrap();
        assert_eq!(shown.chain, issued.chain);
        assert_ne!(shown.chain, before.chain);
        let mode = fs::metadata(config.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
        assert!(account(&config).unwrap().is_none());
    }
}
