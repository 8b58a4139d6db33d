package e2e

import (
	"fmt"
	"image"
	"image/color"
	_ "image/png"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// pagePicture names the environment variable with a file that the test of the
// page writes its screenshot to: scripts/picture has it for deploy/README.md.
const pagePicture = "PAGE_PICTURE"

// screenshot opens the page of serve in a real Chromium in the bed, on a screen
// of that size, and returns what it shows and the file of its picture.
func (s *server) screenshot(name string, width, height int, flags ...string) (text, file string) {
	t := s.b.t
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("the test of the page needs Chromium: ", err)
	}
	file = bedDir + "/" + name + ".png"
	dir := "--user-data-dir=" + bedDir + "/chromium-" + name
	args := append([]string{"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		dir, fmt.Sprintf("--window-size=%d,%d", width, height)}, flags...)
	env := []string{"HOME=" + bedDir}
	address := "http://" + serveAddress + "/"
	s.b.run(command{args: append(args, "--screenshot="+file, address), env: env})
	return s.b.run(command{args: append(args, "--dump-dom", address), env: env}), file
}

// picture is a screenshot, decoded.
func (b *bed) picture(file string) image.Image {
	b.t.Helper()
	f, err := os.Open(b.path(file))
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	picture, _, err := image.Decode(f)
	if err != nil {
		b.t.Fatal(err)
	}
	return picture
}

// brightness is that of a point, from 0 to 255.
func brightness(p image.Image, x, y int) int {
	return int(color.GrayModel.Convert(p.At(x, y)).(color.Gray).Y)
}

func TestPageInARealBrowser(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(3, 2)
	serve := b.startServe("--interval", "1h", "--dry-run", "--deadline", "1h")

	text, file := serve.screenshot("screen", 1100, 640)
	for _, want := range []string{"3 residual, 6 client connections, next due in 1h", "within its deadline", "the current worker", "dry run: nobody is signalled"} {
		if !strings.Contains(text, want) {
			t.Errorf("the browser does not show %q:\n%s", want, text)
		}
	}
	light := b.picture(file)
	if at := brightness(light, 2, 2); at < 240 {
		t.Errorf("the corner of the page has brightness %d, want a light one", at)
	}
	if target := os.Getenv(pagePicture); target != "" {
		if err := os.WriteFile(target, []byte(b.read(file)), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	_, file = serve.screenshot("dark", 1100, 640, "--force-dark-mode")
	if at := brightness(b.picture(file), 2, 2); at > 60 {
		t.Errorf("at night the corner of the page has brightness %d, want a dark one", at)
	}

	// On a phone nothing reaches over the right edge of the screen.
	_, file = serve.screenshot("phone", 500, 1400)
	phone := b.picture(file)
	for y := range phone.Bounds().Dy() {
		if at := brightness(phone, phone.Bounds().Dx()-2, y); at < 240 {
			t.Fatalf("on a phone there is something at the right edge, %d below the top", y)
		}
	}
	serve.stop()
}
