package main

import (
	"encoding/hex"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Clock ticks of /proc/PID/stat in a second, on every Linux this runs on.
const ticks = 100

// usage is what the relay's processes have spent and hold, summed.
type usage struct {
	cpu time.Duration
	rss int64 // bytes
	at  time.Time
}

func pids() []int {
	var list []int
	for _, text := range strings.Split(*pidList, ",") {
		if pid, err := strconv.Atoi(text); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

func readUsage() usage {
	u := usage{at: time.Now()}
	for _, pid := range pids() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			log.Fatalf("the relay's process %d is gone", pid)
		}
		// The name, in parentheses, may hold anything; the fields are counted behind it.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		u.cpu += time.Duration(user+system) * time.Second / ticks
		pages, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if sizes := strings.Fields(string(pages)); len(sizes) > 1 {
			resident, _ := strconv.ParseInt(sizes[1], 10, 64)
			u.rss += resident * int64(os.Getpagesize())
		}
	}
	return u
}

// since adds what was spent between two readings.
func (u usage) since(before usage, frames int64, into result) {
	cpu, wall := (u.cpu - before.cpu).Seconds(), u.at.Sub(before.at).Seconds()
	into["secs"] = wall
	into["relay_cpu_s"] = cpu
	into["relay_cores"] = cpu / wall
	into["rss_mb"] = float64(u.rss) / 1e6
	if frames > 0 {
		into["relay_cpu_us_per_frame"] = cpu * 1e6 / float64(frames)
	}
}

// owner finds which of the relay's processes holds the other end of a TCP connection of ours.
// Zero when none does, such as when it cannot be seen.
func owner(local, remote netip.AddrPort) int {
	inode := ""
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(text), "\n") {
			fields := strings.Fields(line)
			// The relay's end has our addresses the other way round.
			if len(fields) > 9 && sameEnd(fields[1], remote) && sameEnd(fields[2], local) {
				inode = "socket:[" + fields[9] + "]"
			}
		}
	}
	for _, pid := range pids() {
		entries, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, entry := range entries {
			if target, err := os.Readlink(entry); err == nil && target == inode {
				return pid
			}
		}
	}
	return 0
}

// sameEnd compares an address of /proc/net/tcp (hexadecimal, words in host order) with ours.
func sameEnd(text string, end netip.AddrPort) bool {
	address, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil || uint16(number) != end.Port() {
		return false
	}
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw)%4 != 0 {
		return false
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	found, ok := netip.AddrFromSlice(raw)
	return ok && found.Unmap() == end.Addr().Unmap()
}
