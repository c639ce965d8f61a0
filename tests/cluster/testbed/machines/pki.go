package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// identity of whoever gets a certificate, in the terms of Kubernetes: a user and its groups.
type identity struct {
	Name   string   `json:"name"`
	User   string   `json:"user"`
	Groups []string `json:"groups"`
	Hosts  []string `json:"hosts"`
}

const validFor = 365 * 24 * time.Hour

// makeKeys writes ca.crt, a pair of files for each identity, and the key that signs service accounts' tokens (sa.key,
// sa.pub). The key of the CA is thrown away: a cluster is given all its certificates at once.
func makeKeys(folder string, wanted io.Reader) error {
	var identities []identity
	if err := json.NewDecoder(wanted).Decode(&identities); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	authority := template("presence test cluster", nil)
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage |= x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeCertificate(folder, "ca", authority, authority, key, key); err != nil {
		return err
	}
	for _, it := range identities {
		own, err := writeKey(folder, it.Name)
		if err != nil {
			return err
		}
		certificate := template(it.User, it.Groups)
		for _, host := range it.Hosts {
			if address := net.ParseIP(host); address != nil {
				certificate.IPAddresses = append(certificate.IPAddresses, address)
			} else {
				certificate.DNSNames = append(certificate.DNSNames, host)
			}
		}
		if err := writeCertificate(folder, it.Name, certificate, authority, own, key); err != nil {
			return err
		}
	}
	return writeServiceAccountKeys(folder)
}

func template(user string, groups []string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validFor),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
}

func writeCertificate(folder, name string, it, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) error {
	signed, err := x509.CreateCertificate(rand.Reader, it, issuer, key.Public(), issuerKey)
	if err != nil {
		return err
	}
	return writePem(filepath.Join(folder, name+".crt"), "CERTIFICATE", signed)
}

func writeKey(folder, name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePem(filepath.Join(folder, name+".key"), "EC PRIVATE KEY", encoded)
}

func writeServiceAccountKeys(folder string) error {
	key, err := writeKey(folder, "sa")
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePem(filepath.Join(folder, "sa.pub"), "PUBLIC KEY", public)
}

func writePem(path, kind string, content []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}
