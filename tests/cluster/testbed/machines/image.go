package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// The user of the images: nobody in particular, and not root.
const imageUser = "65532:65532"

// packImage writes a docker archive: one static program, which is also the entry point. For the cluster's own needs; the
// project's images are made by `cargo xtask image`.
func packImage(reference, program, archive string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	name := filepath.Base(program)
	layer, err := tarOf([]tarFile{{name, 0o755, content}})
	if err != nil {
		return err
	}
	digest := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + name}, "User": imageUser, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(digest[:])}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{
		{"Config": "config.json", "RepoTags": []string{reference}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}
	whole, err := tarOf([]tarFile{
		{"manifest.json", 0o644, manifest}, {"config.json", 0o644, config}, {"layer.tar", 0o644, layer},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(archive+".new", whole, 0o644); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	return os.Rename(archive+".new", archive)
}

type tarFile struct {
	name    string
	mode    int64
	content []byte
}

func tarOf(files []tarFile) ([]byte, error) {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, file := range files {
		header := &tar.Header{Name: file.name, Mode: file.mode, Size: int64(len(file.content)), Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(file.content); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), writer.Close()
}
