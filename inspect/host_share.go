package inspect

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// HostShare is a number from 0 to below 1 that is this host's own and stays the
// same: a fleet's hosts are spread evenly by it. It is made from the machine id,
// keyed as machine-id(5) asks of what leaves the host, and from the boot id
// where there is none, as in a container. Nil when neither can be read.
func (h *Host) HostShare() *float64 {
	id := h.machineID()
	if id == "" {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(id))
	mac.Write([]byte("haproxy-reaper"))
	share := float64(binary.BigEndian.Uint32(mac.Sum(nil))) / (1 << 32)
	return &share
}

// machineID is the content of machine-id(5), or what stands in for it. A host
// that was made from an image and has not booted says "uninitialized", or
// nothing.
func (h *Host) machineID() string {
	if b, err := h.kernel.ReadFile("/etc/machine-id", 64); err == nil {
		if id := strings.TrimSpace(string(b)); id != "" && id != "uninitialized" {
			return id
		}
	}
	id, _ := BootID(h.kernel)
	return id
}
