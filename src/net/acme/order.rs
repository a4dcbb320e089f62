//! One order: from the names to the certificate in its file.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, KeyAuthorization,
    NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use tokio::process::Command;
use tokio::time::timeout;

use crate::net::acme::challenges::Open;
use crate::net::acme::{Challenge, Challenges, Config, Error, store};

/// How long the authority may take to look at the proofs, and again to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// How long the DNS hook may take: some providers publish once a minute.
const HOOK_WAIT: Duration = Duration::from_secs(300);

/// What proves a name while the authority looks.
enum Proof {
    Http { _open: Open },
    Dns(Record),
}

struct Record {
    name: String,
    text: String,
}

/// Orders a certificate for the names of `config` and writes it into its file.
pub(super) async fn place(config: &Config, challenges: &Challenges) -> Result<(), Error> {
    let account = account(config).await?;
    let names: Vec<Identifier> = config
        .domains
        .iter()
        .cloned()
        .map(Identifier::Dns)
        .collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    let mut proved = Ok(());
    while let Some(authorization) = authorizations.next().await {
        proved = prove(config, challenges, authorization?, &mut proofs).await;
        if proved.is_err() {
            break;
        }
    }
    let issued = match proved {
        Ok(()) => collect(&mut order).await,
        Err(error) => Err(error),
    };
    for proof in proofs {
        if let Proof::Dns(record) = proof
            && let Err(error) = call_hook(config, "remove", &record).await
        {
            tracing::warn!(%error, name = record.name, "a record stays in the DNS");
        }
    }
    let (key, chain) = issued?;
    store::keep_certificate(config, &key, &chain)
}

/// The account with the authority, made and kept when there is none.
async fn account(config: &Config) -> Result<Account, Error> {
    let builder = || match &config.ca {
        Some(root) => Account::builder_with_root(root),
        None => Account::builder(),
    };
    if let Some(credentials) = store::account(config)? {
        return Ok(builder()?.from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = config.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let created = builder()?
        .create(&new, config.directory.clone(), None)
        .await?;
    let (account, credentials) = created;
    store::keep_account(config, credentials)?;
    Ok(account)
}

/// Shows that one name is ours, and tells the authority to look.
async fn prove(
    config: &Config,
    challenges: &Challenges,
    mut authorization: AuthorizationHandle<'_>,
    proofs: &mut Vec<Proof>,
) -> Result<(), Error> {
    match authorization.status {
        AuthorizationStatus::Valid => return Ok(()),
        AuthorizationStatus::Pending => {}
        _ => return Err(Error::Refused),
    }
    let kind = match config.challenge {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::Dns01 => ChallengeType::Dns01,
    };
    let name = authorization.identifier().to_string();
    let challenge = authorization.challenge(kind);
    let mut challenge = challenge.ok_or_else(|| Error::NoChallenge(name.clone()))?;
    let key = challenge.key_authorization();
    let proof = match config.challenge {
        Challenge::Http01 => {
            let open = challenges.open(&challenge.token, key.as_str());
            let open = open.ok_or_else(|| Error::NoChallenge(name))?;
            Proof::Http { _open: open }
        }
        Challenge::Dns01 => Proof::Dns(publish(config, &name, &key).await?),
    };
    proofs.push(proof);
    challenge.set_ready().await?;
    Ok(())
}

/// The key and the chain, once the authority has seen all proofs.
async fn collect(order: &mut instant_acme::Order) -> Result<(String, String), Error> {
    if order.poll_ready(&PATIENCE).await? != OrderStatus::Ready {
        return Err(Error::Refused);
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok((key, chain))
}

/// Puts the record of a name into the DNS.
async fn publish(config: &Config, name: &str, key: &KeyAuthorization) -> Result<Record, Error> {
    let name = name.trim_start_matches("*.");
    let record = Record {
        name: format!("_acme-challenge.{name}"),
        text: key.dns_value(),
    };
    call_hook(config, "present", &record).await?;
    Ok(record)
}

async fn call_hook(config: &Config, word: &str, record: &Record) -> Result<(), Error> {
    let hook = config.hook.as_deref().unwrap_or_else(|| Path::new(""));
    let fault = |fault: String| Error::Hook {
        hook: hook.to_owned(),
        fault,
    };
    let ended = Command::new(hook)
        .args([word, &record.name, &record.text])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status();
    match timeout(HOOK_WAIT, ended).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(fault(status.to_string())),
        Ok(Err(error)) => Err(fault(error.to_string())),
        Err(_) => Err(fault(format!("no end within {} s", HOOK_WAIT.as_secs()))),
    }
}
