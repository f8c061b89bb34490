//! The certificate folder: `name.crt` and `name.key`, as PEM. What an operator puts there is used
//! within a minute; for a host that has none, a self-signed one is issued into it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use mcp_runtime::{BootError, Clock};
use rcgen::{CertificateParams, DnType, KeyPair};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::exchange::Pem;
use super::system::MOST as HOSTS;
use crate::{data, random};

/// More certificates are not looked at, nor are larger files. Every host may have one that was issued
/// for it, and there is as much room for those of an operator.
const MOST: usize = 2 * HOSTS;
const MAX_FILE: u64 = 64 << 10;
/// How long an issued certificate is good for, and when it is replaced.
const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
const RENEW: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Who issued certificates are for. What bears this name is ours to take away.
const SUBJECT: &str = "self-signed by the proxy";

/// What may be told of a certificate. Its key is only ever used.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) name: String,
    pub(super) domains: Vec<String>,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub(super) fingerprint: String,
    pub(super) self_signed: bool,
    /// Whether it was issued here, and not put here by an operator.
    issued: bool,
    key: Arc<CertifiedKey>,
}

#[derive(Debug)]
pub(super) struct Certificates {
    folder: PathBuf,
    clock: Clock,
    known: RwLock<Known>,
    /// Whoever compares the folder with what is known holds it.
    comparing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<String, Arc<Certificate>>,
    by_domain: HashMap<String, Arc<Certificate>>,
}

impl Certificates {
    pub(super) fn open(folder: PathBuf, clock: Clock) -> Result<Self, BootError> {
        data::create(&folder)?;
        let certificates = Self {
            folder,
            clock,
            known: RwLock::default(),
            comparing: Mutex::default(),
        };
        certificates
            .refresh()
            .map_err(|error| data::trouble(&certificates.folder, &error))?;
        Ok(certificates)
    }

    /// How many there are that are good now, and that were.
    pub(super) fn count(&self, now: Timestamp) -> (usize, usize) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let all = known.by_name.len();
        let certificates = known.by_name.values();
        let active = certificates.filter(|one| one.expires_at > now).count();
        (active, all - active)
    }

    /// Reads the folder again. Works on files: not for an async task.
    pub(super) fn refresh(&self) -> io::Result<()> {
        let _comparing = self.comparing();
        let mut known = Known::default();
        let mut seen = 0;
        for file in std::fs::read_dir(&self.folder)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "crt") {
                continue;
            }
            if seen == MOST {
                tracing::warn!(
                    most = MOST,
                    "there are more certificates than are looked at"
                );
                break;
            }
            seen += 1;
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
                continue;
            };
            if !is_name(name) {
                continue;
            }
            match self.load(name, &path) {
                Ok(certificate) => known.add(Arc::new(certificate)),
                Err(problem) => {
                    tracing::warn!(certificate = name, problem, "a certificate cannot be used");
                }
            }
        }
        *self.write() = known;
        Ok(())
    }

    /// Makes sure that there is a certificate for this host. Works on files, too.
    pub(super) fn ensure(&self, hostname: &str) -> io::Result<()> {
        let _comparing = self.comparing();
        let soon = self.clock.now() + RENEW;
        let ours = file_name(hostname);
        let fine = || {
            self.of_host(hostname)
                .is_some_and(|found| found.name != ours || found.expires_at > soon)
        };
        if fine() {
            return Ok(());
        }
        let _alone = self.alone()?;
        // Another process may have been quicker.
        if self.take_up(&ours).is_ok() && fine() {
            return Ok(());
        }
        self.issue(hostname, &ours)?;
        self.take_up(&ours)?;
        if self.of_host(hostname).is_some() {
            return Ok(());
        }
        // It would be in the way of others.
        self.remove(hostname)?;
        Err(io::Error::other(format!(
            "the certificate issued for {hostname} is one too many: take those out of the folder \
             that nobody needs, for no more than {MOST} are used"
        )))
    }

    /// Takes away what was issued for a host that is gone; never what an operator put there. Works on
    /// files, too.
    pub(super) fn withdraw(&self, hostname: &str) -> io::Result<()> {
        let _comparing = self.comparing();
        let _alone = self.alone()?;
        self.remove(hostname)
    }

    /// Those that can be used, with their keys. Works on files, too.
    pub(super) fn pems(&self) -> Vec<Pem> {
        let text = |name: &str, ending: &str| {
            let bytes = file(&self.folder.join(format!("{name}.{ending}"))).ok()?;
            String::from_utf8(bytes).ok()
        };
        let pem = |certificate: Arc<Certificate>| {
            Some(Pem {
                certificate: text(&certificate.name, "crt")?,
                key: text(&certificate.name, "key")?,
                name: certificate.name.clone(),
            })
        };
        self.all().into_iter().filter_map(pem).collect()
    }

    /// Puts those into the folder of which there is none of the same name, and tells how many they
    /// were. Works on files, too.
    pub(super) fn restore(&self, pems: &[Pem]) -> io::Result<usize> {
        let missing = |pem: &&Pem| {
            let there = |ending: &str| self.folder.join(format!("{}.{ending}", pem.name));
            is_name(&pem.name) && !there("crt").exists() && !there("key").exists()
        };
        let missing: Vec<&Pem> = pems.iter().filter(missing).collect();
        for pem in &missing {
            // The key first: a certificate without its key would be complained about.
            self.put(&format!("{}.key", pem.name), &pem.key)?;
            self.put(&format!("{}.crt", pem.name), &pem.certificate)?;
        }
        self.refresh()?;
        Ok(missing.len())
    }

    pub(super) fn all(&self) -> Vec<Arc<Certificate>> {
        self.read().by_name.values().cloned().collect()
    }

    /// The one that is served for a host: of this name, else for all under its parent.
    pub(super) fn of_host(&self, hostname: &str) -> Option<Arc<Certificate>> {
        let known = self.read();
        let exact = known.by_domain.get(hostname);
        let wild = || {
            let (_, parent) = hostname.split_once('.')?;
            known.by_domain.get(&format!("*.{parent}"))
        };
        exact.or_else(wild).cloned()
    }

    pub(super) fn status(&self, certificate: &Certificate) -> &'static str {
        match certificate.expires_at > self.clock.now() {
            true => "active",
            false => "expired",
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read from the folder is not outdated before it is known.
    fn comparing(&self) -> MutexGuard<'_, ()> {
        self.comparing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Of processes that share the folder, one at a time issues and takes away: a key of one would not
    /// fit the certificate of the other. Until the file is dropped.
    fn alone(&self) -> io::Result<File> {
        let folder = File::open(&self.folder)?;
        folder.lock()?;
        Ok(folder)
    }

    /// Makes a new file known, without a look at all the others.
    fn take_up(&self, name: &str) -> io::Result<()> {
        let certificate = self.load(name, &self.folder.join(format!("{name}.crt")));
        let certificate = certificate.map_err(io::Error::other)?;
        let mut known = self.write();
        known.forget(name);
        known.add(Arc::new(certificate));
        Ok(())
    }

    fn remove(&self, hostname: &str) -> io::Result<()> {
        let name = file_name(hostname);
        let path = self.folder.join(format!("{name}.crt"));
        // As the file is now: an operator may have put another one there since the last look.
        let found = self.load(&name, &path);
        if !found.is_ok_and(|found| found.issued && found.domains == [hostname]) {
            return Ok(());
        }
        // The certificate first: without its key it would be complained about.
        std::fs::remove_file(&path)?;
        std::fs::remove_file(path.with_extension("key"))?;
        self.write().forget(&name);
        Ok(())
    }

    fn load(&self, name: &str, path: &Path) -> Result<Certificate, String> {
        let chain = CertificateDer::pem_slice_iter(&file(path)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.to_string())?;
        let first = chain.first().ok_or("there is no certificate in it")?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(&file(&path.with_extension("key"))?)
            .map_err(|_| "its key cannot be read")?;
        let key = any_supported_type(&key).map_err(|_| "its key is of no kind that is known")?;
        let at = |seconds| Timestamp::from_second(seconds).map_err(|error| error.to_string());
        let certificate = Certificate {
            name: name.to_owned(),
            domains: domains(&parsed),
            issued_at: at(parsed.validity().not_before.timestamp())?,
            expires_at: at(parsed.validity().not_after.timestamp())?,
            fingerprint: hex(&Sha256::digest(first)),
            self_signed: parsed.subject() == parsed.issuer(),
            issued: was_issued(&parsed),
            key: Arc::new(CertifiedKey::new(chain.clone(), key)),
        };
        if certificate.key.keys_match().is_err() {
            return Err("its key belongs to another certificate".to_owned());
        }
        Ok(certificate)
    }

    fn issue(&self, hostname: &str, name: &str) -> io::Result<()> {
        let now = self.clock.now();
        let mut params =
            CertificateParams::new(vec![hostname.to_owned()]).map_err(io::Error::other)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, SUBJECT);
        let (year, month, day) = date_of(now - SignedDuration::from_hours(24));
        params.not_before = rcgen::date_time_ymd(year, month, day);
        let (year, month, day) = date_of(now + LIFETIME);
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        // The key first: a certificate without its key would be complained about.
        self.put(&format!("{name}.key"), &key.serialize_pem())?;
        self.put(&format!("{name}.crt"), &certificate.pem())?;
        tracing::info!(hostname, "a self-signed certificate was issued");
        Ok(())
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let draft = self.folder.join(format!(".{}.part", random::uuid4()));
        let mut file =
            data::private(OpenOptions::new().write(true).create_new(true)).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, self.folder.join(name))
    }
}

impl Known {
    /// Of two for one host, the one that somebody else vouches for, then the one that lasts.
    fn add(&mut self, certificate: Arc<Certificate>) {
        if self.by_name.len() >= MOST {
            return;
        }
        for domain in &certificate.domains {
            let rank = |one: &Certificate| (!one.self_signed, one.expires_at);
            let before = self.by_domain.get(domain);
            if before.is_none_or(|before| rank(before) < rank(&certificate)) {
                self.by_domain
                    .insert(domain.clone(), Arc::clone(&certificate));
            }
        }
        self.by_name.insert(certificate.name.clone(), certificate);
    }

    /// Another one for the same hosts takes its place.
    fn forget(&mut self, name: &str) {
        if self.by_name.remove(name).is_none() {
            return;
        }
        self.by_domain.clear();
        for certificate in std::mem::take(&mut self.by_name).into_values() {
            self.add(certificate);
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let hostname = hello.server_name()?.to_ascii_lowercase();
        Some(Arc::clone(&self.of_host(&hostname)?.key))
    }
}

/// Letters, digits, dashes and underscores: nothing that leads out of the folder.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=255).contains(&name.len()) && name.bytes().all(plain)
}

/// Host names have no underscores, so no two share a file.
pub(super) fn file_name(hostname: &str) -> String {
    hostname.replace('.', "_")
}

/// A regular file of a sensible size: no link that leads elsewhere.
fn file(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| error.to_string();
    let metadata = std::fs::symlink_metadata(path).map_err(told)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err("it is no regular file of at most 64 KiB".to_owned());
    }
    std::fs::read(path).map_err(told)
}

fn was_issued(certificate: &X509Certificate<'_>) -> bool {
    let mut names = certificate.subject().iter_common_name();
    names.any(|name| name.as_str().is_ok_and(|name| name == SUBJECT))
}

fn domains(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| &names.value.general_names);
    names
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .take(100)
        .collect()
}

fn date_of(at: Timestamp) -> (i32, u8, u8) {
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let part = |part: i8| u8::try_from(part).unwrap_or(1);
    (date.year().into(), part(date.month()), part(date.day()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
