// Command gopeer reads notes and proofs, and asks a witness, with the libraries that Go's checksum database and
// transparency-dev use: what securechat writes has to be what they read. One JSON object comes on stdin, one goes to
// stdout. `tests/go_peer.ts` calls it.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	cosignature "github.com/transparency-dev/formats/note"
	client "github.com/transparency-dev/witness/client/http"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Do        string   `json:"do"`
	Note      string   `json:"note"`
	Logs      []string `json:"logs"`
	Witnesses []string `json:"witnesses"`
	URL       string   `json:"url"`
	Old       int64    `json:"old"`
	OldRoot   string   `json:"oldRoot"`
	Size      int64    `json:"size"`
	Root      string   `json:"root"`
	Index     int64    `json:"index"`
	Leaf      []byte   `json:"leaf"`
	Proof     []string `json:"proof"`
}

type answer struct {
	// The key names whose signatures verified.
	Signers []string `json:"signers,omitempty"`
	// What a witness answered.
	Body string `json:"body,omitempty"`
	Size uint64 `json:"size,omitempty"`
	// What was wrong.
	Error string `json:"error,omitempty"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	found, err := reply(asked)
	if err != nil {
		found.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		os.Exit(1)
	}
}

func reply(asked question) (answer, error) {
	switch asked.Do {
	case "note":
		return openNote(asked)
	case "inclusion":
		return answer{}, checkInclusion(asked)
	case "consistency":
		return answer{}, checkConsistency(asked)
	case "ask":
		return askWitness(asked)
	}
	return answer{}, errors.New("unknown question")
}

func openNote(asked question) (answer, error) {
	var known []note.Verifier
	for _, vkey := range asked.Logs {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			return answer{}, err
		}
		known = append(known, verifier)
	}
	for _, vkey := range asked.Witnesses {
		verifier, err := cosignature.NewVerifierForCosignatureV1(vkey)
		if err != nil {
			return answer{}, err
		}
		known = append(known, verifier)
	}
	opened, err := note.Open([]byte(asked.Note), note.VerifierList(known...))
	if err != nil {
		return answer{}, err
	}
	var found answer
	for _, signature := range opened.Sigs {
		found.Signers = append(found.Signers, signature.Name)
	}
	return found, nil
}

func hashes(proof []string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, text := range proof {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}

func checkInclusion(asked question) error {
	proof, err := hashes(asked.Proof)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(asked.Root)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, asked.Size, root, asked.Index, tlog.RecordHash(asked.Leaf))
}

func checkConsistency(asked question) error {
	proof, err := hashes(asked.Proof)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(asked.Root)
	if err != nil {
		return err
	}
	old, err := tlog.ParseHash(asked.OldRoot)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, asked.Size, root, asked.Old, old)
}

func askWitness(asked question) (answer, error) {
	address, err := url.Parse(asked.URL)
	if err != nil {
		return answer{}, err
	}
	var proof [][]byte
	for _, text := range asked.Proof {
		hash, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return answer{}, err
		}
		proof = append(proof, hash)
	}
	witness := client.NewWitness(address, http.DefaultClient)
	body, size, err := witness.Update(context.Background(), uint64(asked.Old), []byte(asked.Note), proof)
	return answer{Body: string(body), Size: size}, err
}
