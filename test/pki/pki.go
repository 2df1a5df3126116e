package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	// Cert is the authority's own certificate; File is the same as PEM.
	Cert *x509.Certificate
	File string

	key crypto.Signer
}

// Pair is a certificate with its key.
type Pair struct {
	Cert *x509.Certificate
	// CertFile and KeyFile are PEM; readable by their owner only.
	CertFile, KeyFile string
	// PEM holds both, as an operator may keep them in one file.
	PEM []byte
}

// New makes an authority with a self-signed certificate of that common name.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{}
	pair, key := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.Cert, a.File, a.key = pair.Cert, pair.CertFile, key
	return a
}

// Issue signs template: serial number and key are made here, and validity is
// from an hour ago to in an hour unless the template has one.
func (a *Authority) Issue(t testing.TB, template x509.Certificate) Pair {
	t.Helper()
	pair, _ := a.issue(t, &template)
	return pair
}

// Client is the template of a client's certificate.
func Client() x509.Certificate {
	return x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// SelfSigned is a certificate of no authority.
func SelfSigned(t testing.TB, template x509.Certificate) Pair {
	t.Helper()
	return (&Authority{}).Issue(t, template)
}

func (a *Authority) issue(t testing.TB, template *x509.Certificate) (Pair, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := a.Cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	dir := t.TempDir()
	pair := Pair{Cert: cert, CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		PEM: append(certPEM[:len(certPEM):len(certPEM)], keyPEM...)}
	Put(t, pair.CertFile, certPEM)
	Put(t, pair.KeyFile, keyPEM)
	return pair, key
}

// Put replaces a file's content at once, as a careful renewal does.
func Put(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
