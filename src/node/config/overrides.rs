//! Values set outside the file: by the environment and by flags.

/// The prefix of environment variables that set a key: `RUSHLANE_HTTP__LISTEN` sets `http.listen`.
const ENVIRONMENT_PREFIX: &str = "RUSHLANE_";

/// A value set outside the file: by the environment or by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// How the user set it, such as `RUSHLANE_HTTP__LISTEN` or `--set http.listen`.
    pub place: String,
    /// The key, section by section.
    pub path: Vec<String>,
    /// A TOML value, or bare text that is taken as a string.
    pub value: String,
}

/// The overrides in `variables`, in the order of their names. `RUSHLANE_` alone is not enough: a
/// section and a key must follow, so that unrelated variables stay unrelated.
pub fn overrides_from_environment(
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<Override> {
    let mut overrides: Vec<Override> = variables
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix(ENVIRONMENT_PREFIX)?;
            let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            (path.len() >= 2).then_some(Override {
                place: name,
                path,
                value,
            })
        })
        .collect();
    overrides.sort_by(|a, b| a.place.cmp(&b.place));
    overrides
}

/// One `--set section.key=value`.
///
/// Errors: a text for the user when there is no `=` or no section.
pub fn override_from_flag(text: &str) -> Result<Override, String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("write it as section.key=value, such as http.listen=127.0.0.1:8080".into());
    };
    let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    if path.len() < 2 || path.iter().any(String::is_empty) {
        return Err(format!(
            "{key:?} names no section and key, such as http.listen"
        ));
    }
    Ok(Override {
        place: format!("--set {key}"),
        path,
        value: value.trim().to_owned(),
    })
}
