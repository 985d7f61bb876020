//! The directory to deploy: the operator's configuration, which no build changes, and the bundle, which each build
//! replaces.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files of the bundle.
pub(super) const BUNDLE: [&str; 3] = ["worker.js", "worker_bg.wasm", "engine.wasm"];
const CONFIGURATION: &str = "wrangler.toml";

/// Whether the configuration was created now or existed before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Configured {
    Anew,
    Before,
}

/// Returns the directory of the bundle.
///
/// # Errors
/// If it contains a file that is not part of a bundle, because a build would delete this file of the operator's.
pub(super) fn prepare(deployment: &Path) -> Result<PathBuf, String> {
    let bundle = deployment.join("bundle");
    let files = match fs::read_dir(&bundle) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(bundle),
        Err(error) => return Err(failed(&bundle, &error)),
    };
    for file in files {
        let file = file.map_err(|error| failed(&bundle, &error))?;
        if !BUNDLE.iter().any(|name| file.file_name() == *name) {
            return Err(format!(
                "{} is not part of a bundle and would be lost: move it to {}",
                file.path().display(),
                deployment.display()
            ));
        }
    }
    Ok(bundle)
}

/// Copies the template of the configuration, unless a configuration exists.
pub(super) fn configure(deployment: &Path, template: &Path) -> Result<Configured, String> {
    let place = deployment.join(CONFIGURATION);
    let text = fs::read(template).map_err(|error| failed(template, &error))?;
    // `create_new` also refuses a symbolic link, whatever its target.
    let file = fs::OpenOptions::new().write(true).create_new(true).open(&place);
    match file {
        Ok(mut file) => std::io::Write::write_all(&mut file, &text)
            .map(|()| Configured::Anew)
            .map_err(|error| failed(&place, &error)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Configured::Before),
        Err(error) => Err(failed(&place, &error)),
    }
}

pub(super) fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary directory for one test, removed on drop.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let place = std::env::temp_dir().join(format!("tessera-xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(place.join("bundle")).expect("a directory");
            fs::write(place.join("template"), "name = \"template\"").expect("a template");
            Self(place)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).expect("a file")
        }

        fn configure(&self) -> Configured {
            configure(&self.0, &self.0.join("template")).expect("a configuration")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_later_build_keeps_the_configuration_that_the_first_has_made_and_the_operator_edited() {
        let place = Place::new("kept");
        assert_eq!(place.configure(), Configured::Anew);
        assert_eq!(place.read("wrangler.toml"), "name = \"template\"");
        for (name, text) in [
            ("wrangler.toml", "name = \"mine\""),
            (".dev.vars", "TESSERA_KEYS=mine"),
        ] {
            fs::write(place.0.join(name), text).expect("an edit");
        }
        let bundle = prepare(&place.0).expect("a bundle");
        // A build replaces the directory.
        fs::remove_dir_all(bundle).expect("replaced");
        assert_eq!(place.configure(), Configured::Before);
        assert_eq!(place.read("wrangler.toml"), "name = \"mine\"");
        assert_eq!(place.read(".dev.vars"), "TESSERA_KEYS=mine");
    }

    #[test]
    fn a_bundle_with_a_file_that_no_build_made_is_not_replaced() {
        let place = Place::new("foreign");
        for name in BUNDLE {
            fs::write(place.0.join("bundle").join(name), "").expect("a file");
        }
        assert_eq!(prepare(&place.0), Ok(place.0.join("bundle")));
        fs::write(place.0.join("bundle/.dev.vars"), "").expect("a file");
        let refused = prepare(&place.0).expect_err("it would be lost");
        assert!(refused.contains(".dev.vars"), "{refused}");
    }

    #[test]
    fn a_directory_without_a_bundle_takes_one() {
        let place = Place::new("empty");
        let deployment = place.0.join("not-there");
        assert_eq!(prepare(&deployment), Ok(deployment.join("bundle")));
    }
}
