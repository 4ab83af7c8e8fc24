use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// The files of the cluster `c`, whose password is in the file `password`.
fn files(dir: &Path, more: &str) -> SecretFiles {
    let text = format!(
        "{{coordination: 'embedded', redis: {{'password-file': {:?}, {more}}}, \
         clusters: [{{name: 'c', nodes: [{{host: 'h', port: 1}}]}}]}}",
        dir.join("password")
    );
    let (config, _) = Config::parse("f", &text, std::iter::empty()).expect("a configuration");
    let mut files = SecretFiles::of(&config);
    assert_eq!(files.look(Occasion::Start).redis.len(), 1);
    files
}

/// The result of the second of two checks: a file must not change from one check to the next.
fn looked(files: &mut SecretFiles) -> Found {
    let first = files.look(Occasion::Time);
    assert!(first.redis.is_empty(), "it may still be written");
    files.look(Occasion::Time)
}

fn names(found: &Found) -> Vec<String> {
    let names = found.files.iter().filter_map(|it| it.file_name());
    names.map(|it| it.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_file_that_was_written_renamed_or_linked_anew_is_read_again_and_only_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    fs::write(at("password"), "one").expect("written");
    let mut files = files(dir.path(), "");
    let nothing = |files: &mut SecretFiles| {
        let found = files.look(Occasion::Time);
        assert!(found.redis.is_empty() && found.files.is_empty() && found.faults.is_empty());
    };
    nothing(&mut files);
    let changes: [&dyn Fn(); 4] = [
        &|| fs::write(at("password"), "two").expect("written"),
        &|| {
            fs::write(at("new"), "one").expect("written");
            fs::rename(at("new"), at("password")).expect("renamed");
        },
        &|| {
            // Kubernetes replaces a mounted secret in this way: it changes the symbolic link through which all files
            // lead.
            for (folder, text) in [("a", "one"), ("b", "two")] {
                fs::create_dir(at(folder)).expect("a folder");
                fs::write(at(folder).join("password"), text).expect("written");
            }
            symlink("a", at("data")).expect("a link");
            fs::remove_file(at("password")).expect("removed");
            symlink("data/password", at("password")).expect("a link");
        },
        &|| {
            symlink("b", at("data.new")).expect("a link");
            fs::rename(at("data.new"), at("data")).expect("renamed");
        },
    ];
    for change in changes {
        change();
        let found = looked(&mut files);
        assert_eq!(
            (found.redis.len(), names(&found)),
            (1, vec!["password".to_owned()])
        );
        nothing(&mut files);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_told_once_by_name_and_again_when_it_is_mended() {
    let dir = tempfile::tempdir().expect("a directory");
    let password = dir.path().join("password");
    fs::write(&password, "one").expect("written");
    let mut files = files(dir.path(), "");
    let broken: [(&dyn Fn(), &str); 4] = [
        (
            &|| fs::remove_file(&password).expect("removed"),
            "cannot be read",
        ),
        (
            &|| fs::write(&password, "\n").expect("written"),
            "names an empty file",
        ),
        (
            &|| fs::write(&password, "a\nb\nsecond").expect("written"),
            "names a file of 3 lines",
        ),
        (
            &|| {
                fs::write(&password, "\nsecond").expect("written");
            },
            "with an empty line",
        ),
    ];
    for (change, why) in broken {
        change();
        let found = looked(&mut files);
        let fault = found.faults.first().expect("a fault");
        assert!(found.redis.is_empty() && found.faults.len() == 1);
        assert!(
            fault.contains(why) && fault.contains(&*password.to_string_lossy()),
            "{fault}"
        );
        assert!(!fault.contains("second"), "{fault}");
        assert!(files.look(Occasion::Time).faults.is_empty(), "told once");
    }
    assert_eq!(
        files.look(Occasion::Signal).faults.len(),
        1,
        "and to who asks"
    );
    fs::write(&password, "old\nnew\n").expect("written");
    let found = looked(&mut files);
    assert_eq!(
        (found.redis.len(), names(&found)),
        (1, vec!["password".to_owned()])
    );
}

#[test]
fn a_certificate_and_its_key_are_used_once_they_fit_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let pair = || {
        let done = std::process::Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=k".split(' '))
            .args(["-keyout", "new.key", "-out", "new.pem"])
            .current_dir(dir.path())
            .output();
        assert!(done.expect("openssl is installed").status.success());
    };
    let put = |name: &str| fs::rename(at(&format!("new.{name}")), at(name)).expect("renamed");
    fs::write(at("password"), "one").expect("written");
    pair();
    put("pem");
    put("key");
    let tls = format!(
        "'tls-insecure': true, 'tls-cert-file': {:?}, 'tls-key-file': {:?}",
        at("pem"),
        at("key")
    );
    let mut files = files(dir.path(), &tls);
    pair();
    put("pem");
    let found = looked(&mut files);
    let fault = found.faults.first().expect("a fault");
    let [pem, key] = ["pem", "key"].map(|name| at(name).display().to_string());
    assert!(
        found.redis.is_empty() && fault.contains(&pem) && fault.contains(&key),
        "{fault}"
    );
    put("key");
    let found = looked(&mut files);
    assert_eq!(
        (found.redis.len(), names(&found)),
        (1, vec!["key".to_owned(), "pem".to_owned()])
    );
    fs::write(at("pem"), "-----BEGIN CERTIFICATE-----\nMIIB").expect("written");
    let found = looked(&mut files);
    assert!(
        found.redis.is_empty() && found.faults.len() == 1,
        "half of it"
    );
}

#[test]
fn a_signal_has_all_files_read_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("password"), "one").expect("written");
    let mut files = files(dir.path(), "");
    for text in ["two", "two"] {
        fs::write(dir.path().join("password"), text).expect("written");
        let found = files.look(Occasion::Signal);
        assert_eq!(
            (found.redis.len(), names(&found)),
            (1, vec!["password".to_owned()])
        );
    }
}
