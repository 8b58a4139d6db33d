package inspect

import (
	"encoding/binary"
	"slices"
)

// maxFilterRanges bounds the kernel's work for one socket; more ranges of ports
// than this become the one from the lowest to the highest.
const maxFilterRanges = 64

// portRange is the ports from first to last, both included.
type portRange struct{ first, last uint16 }

// portRanges sorts ports into ranges without gaps.
func portRanges(ports []uint16) []portRange {
	var ranges []portRange
	for _, port := range slices.Sorted(slices.Values(ports)) {
		if n := len(ranges); n > 0 && int(port) <= int(ranges[n-1].last)+1 {
			ranges[n-1].last = port
			continue
		}
		ranges = append(ranges, portRange{port, port})
	}
	return ranges
}

// localPortFilter is bytecode for inet_diag (linux/inet_diag.h) that passes
// sockets with one of these local ports, and perhaps some others between them.
//
// An instruction is two bytes and a half: a code, where to go on yes, where to
// go on no, both counted in bytes from itself. A comparison is followed by its
// port. Ending exactly at the end of the program passes a socket, jumping past
// it drops one; and the kernel accepts no jump that does not land on the chain
// of the yes jumps. So each range is
//
//	port >= first ? next : the next range
//	port <= last  ? next : the next range
//	jump to the end
func localPortFilter(ports []uint16) []byte {
	const (
		jump           = 1
		portAtLeast    = 2
		portAtMost     = 3
		instruction    = 4
		comparison     = 2 * instruction
		rangeSize      = 2*comparison + instruction
		lastRangeSize  = 2 * comparison
		pastTheEndMore = instruction
	)
	ranges := portRanges(ports)
	if n := len(ranges); n > maxFilterRanges {
		ranges = []portRange{{ranges[0].first, ranges[n-1].last}}
	}
	var b []byte
	op := func(code, yes uint8, no int) {
		b = append(b, code, yes)
		b = binary.NativeEndian.AppendUint16(b, uint16(no))
	}
	for i, r := range ranges {
		last := i == len(ranges)-1
		size := rangeSize
		if last {
			size = lastRangeSize + pastTheEndMore
		}
		op(portAtLeast, comparison, size)
		op(0, 0, int(r.first))
		op(portAtMost, comparison, size-comparison)
		op(0, 0, int(r.last))
		if !last {
			left := (len(ranges)-2-i)*rangeSize + lastRangeSize
			op(jump, instruction, instruction+left)
		}
	}
	return b
}
