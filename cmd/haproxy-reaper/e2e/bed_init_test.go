package e2e

import (
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// bedInitName is the name the test binary runs under as a bed's first process.
const bedInitName = "bed-init"

// bedDir is where a bed keeps what its test writes, bedAgent the agent in it,
// bedRoot the root of its HAProxy, where that has one of its own.
const (
	bedDir   = "/run/bed"
	bedRoot  = "/run/haproxy"
	bedAgent = bedDir + "/haproxy-reaper"
)

// bedInit is process 1 of a bed: it makes the namespaces it was started in a
// small host of their own, says "ready", and reaps what is reparented to it
// until its standard input closes. The kernel then ends everything in the bed.
func bedInit() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	if err := bedFurnish(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	go func() {
		for range children {
			for {
				if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
					break
				}
			}
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// bedFurnish gives the bed a /proc, a /run and a /var/lib of its own, no
// configuration of the agent, the agent under its own name, and a loopback.
func bedFurnish() error {
	// The binary lies where a mount may hide it: hold on to it first.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	private := []string{"/run", "/var/lib"}
	if _, err := os.Stat("/etc/haproxy-reaper"); err == nil {
		private = append(private, "/etc/haproxy-reaper")
	}
	for _, dir := range private {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range []string{bedDir, "/var/lib/haproxy"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(bedAgent, nil, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", self.Fd()), bedAgent, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the agent: %w", err)
	}
	if root := os.Args[1]; root != "" {
		if err := bedMountRoot(root); err != nil {
			return err
		}
	}
	return bedLoopback()
}

// bedMountRoot gives a release of HAProxy a root of its own, in which the bed's
// files are where they are without. The root itself is everybody's: nobody
// writes to it.
func bedMountRoot(root string) error {
	if err := os.Mkdir(bedRoot, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(root, bedRoot, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", root, err)
	}
	if err := unix.Mount("", bedRoot, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("protect %s: %w", root, err)
	}
	for _, dir := range []string{"/proc", "/dev", bedDir, "/var/lib/haproxy"} {
		if err := unix.Mount(dir, bedRoot+dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s in HAProxy's root: %w", dir, err)
		}
	}
	if err := unix.Mount("tmpfs", bedRoot+"/run/netns", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount HAProxy's network namespaces: %w", err)
	}
	return nil
}

func bedLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	return nil
}
